-- What finds a page of a long list: ids, order and what is filtered by, so that what is skipped is not read.
CREATE INDEX runs_of_organization ON runs (organization_id, created_at, id, operation, status, workspace_id);
DROP INDEX runs_organization;
CREATE INDEX runs_of_status ON runs (organization_id, status, created_at, id, operation, workspace_id);
CREATE INDEX runs_of_workspace ON runs (workspace_id, number, operation, status, id);
CREATE INDEX workspaces_of_project ON workspaces (project_id, created_at, id, organization_id);
CREATE INDEX workspaces_of_organization_changed ON workspaces (organization_id, latest_change_at, name, id);
