-- What site admins set and see, and the orders of their lists.

CREATE INDEX workspaces_changed ON workspaces (latest_change_at);
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX users_created ON users (created_at);

CREATE TABLE module_consumers (       -- organizations that may use another's private modules
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  consumer_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  PRIMARY KEY (organization_id, consumer_id)
);

CREATE TABLE signing_keys (           -- of identity tokens; the newest signs, all are published
  id TEXT PRIMARY KEY,                -- the `kid`
  private BLOB NOT NULL,              -- PKCS #8, sealed by the root key for this id
  public TEXT NOT NULL,               -- JSON: the JWK
  created_at BIGINT NOT NULL
);
