-- What site admins set and see, and the orders of their lists.

CREATE INDEX workspaces_changed ON workspaces (latest_change_at);
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX users_created ON users (created_at);
