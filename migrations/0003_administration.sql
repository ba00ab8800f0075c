-- What site admins set and see, and the orders of their lists.

CREATE INDEX workspaces_changed ON workspaces (latest_change_at);
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX users_created ON users (created_at);

CREATE TABLE module_consumers (       -- organizations that may use another's private modules
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  consumer_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  PRIMARY KEY (organization_id, consumer_id)
);
