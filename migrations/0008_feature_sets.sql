-- What site admins allow an organization, and agent pools: whose agents runs wait for.

-- JSON: the feature set, its ceilings and its contract; null for everything that this server has, without a ceiling.
ALTER TABLE organizations ADD COLUMN subscription TEXT;

CREATE TABLE agent_pools (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  organization_scoped BOOLEAN NOT NULL, -- whether every workspace but the excluded ones may use it
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);

CREATE TABLE agent_pool_allowed_workspaces (
  agent_pool_id TEXT NOT NULL REFERENCES agent_pools(id) ON DELETE CASCADE,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  PRIMARY KEY (agent_pool_id, workspace_id)
);
CREATE INDEX agent_pool_allowed_workspaces_workspace ON agent_pool_allowed_workspaces (workspace_id);

CREATE TABLE agent_pool_allowed_projects (
  agent_pool_id TEXT NOT NULL REFERENCES agent_pools(id) ON DELETE CASCADE,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  PRIMARY KEY (agent_pool_id, project_id)
);
CREATE INDEX agent_pool_allowed_projects_project ON agent_pool_allowed_projects (project_id);

CREATE TABLE agent_pool_excluded_workspaces (
  agent_pool_id TEXT NOT NULL REFERENCES agent_pools(id) ON DELETE CASCADE,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  PRIMARY KEY (agent_pool_id, workspace_id)
);
CREATE INDEX agent_pool_excluded_workspaces_workspace ON agent_pool_excluded_workspaces (workspace_id);

-- Each goes with the execution mode that stands beside it.
ALTER TABLE organizations ADD COLUMN default_agent_pool_id TEXT REFERENCES agent_pools(id) ON DELETE SET NULL;
ALTER TABLE projects ADD COLUMN default_agent_pool_id TEXT REFERENCES agent_pools(id) ON DELETE SET NULL;
ALTER TABLE workspaces ADD COLUMN agent_pool_id TEXT REFERENCES agent_pools(id) ON DELETE SET NULL;
CREATE INDEX organizations_agent_pool ON organizations (default_agent_pool_id) WHERE default_agent_pool_id IS NOT NULL;
CREATE INDEX projects_agent_pool ON projects (default_agent_pool_id) WHERE default_agent_pool_id IS NOT NULL;
CREATE INDEX workspaces_agent_pool ON workspaces (agent_pool_id) WHERE agent_pool_id IS NOT NULL;

-- The tokens of a pool's agents.
ALTER TABLE tokens ADD COLUMN agent_pool_id TEXT REFERENCES agent_pools(id) ON DELETE CASCADE;
CREATE INDEX tokens_agent_pool ON tokens (agent_pool_id) WHERE agent_pool_id IS NOT NULL;
