-- What an overview of an organization counts, without reading the rows themselves.
ALTER TABLE runs ADD COLUMN worked_ms BIGINT; -- how long runners worked for the run; none until it has ended
CREATE INDEX runs_ended ON runs (organization_id, created_at, status, worked_ms, workspace_id) WHERE final = TRUE;
CREATE INDEX runs_unended ON runs (organization_id, status, workspace_id) WHERE final = FALSE;

-- Filters of lists that people keep under a name: their query, as it stands in the address of the page.
CREATE TABLE saved_filters (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  query TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (user_id, organization_id, name)
);
