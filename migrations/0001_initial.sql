-- Ids, enumerations and JSON documents are TEXT; instants are BIGINT microseconds; sealed values are BLOB.
-- `version` columns count changes of a row. Names are those of the API.

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL,
  site_admin BOOLEAN NOT NULL,
  service BOOLEAN NOT NULL,           -- the synthetic user behind a team's or an organization's tokens
  created_at BIGINT NOT NULL
);

CREATE TABLE organizations (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL,
  data_key BLOB NOT NULL,             -- sealed by the root key
  service_user_id TEXT NOT NULL,
  default_project_id TEXT NOT NULL,
  workspace_count BIGINT NOT NULL,    -- kept, because counting 100,000 rows costs more than the page that shows the count
  settings TEXT NOT NULL,             -- JSON of the attributes that only the API reads
  admin_settings TEXT NOT NULL,       -- JSON of what only site admins set
  created_at BIGINT NOT NULL,
  version BIGINT NOT NULL
);

CREATE TABLE organization_memberships (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  status TEXT NOT NULL,               -- active | invited
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, user_id)
);
CREATE INDEX organization_memberships_user ON organization_memberships (user_id);

CREATE TABLE teams (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  visibility TEXT NOT NULL,           -- secret | organization
  access TEXT NOT NULL,               -- JSON of organization-access
  sso_team_id TEXT,
  allow_member_token_management BOOLEAN NOT NULL,
  service_user_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);

CREATE TABLE team_members (
  team_id TEXT NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,                 -- user | team | organization
  hash TEXT NOT NULL UNIQUE,          -- keyed hash; the token itself is nowhere
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,   -- the real or the service user
  team_id TEXT REFERENCES teams(id) ON DELETE CASCADE,
  organization_id TEXT REFERENCES organizations(id) ON DELETE CASCADE,
  single BOOLEAN NOT NULL,            -- the one token of a team or organization, replaced by the next
  description TEXT NOT NULL,
  created_by TEXT,                    -- user id
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used_at BIGINT
);
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_team ON tokens (team_id);
CREATE INDEX tokens_organization ON tokens (organization_id);

CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT,
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);

CREATE TABLE workspaces (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  project_id TEXT NOT NULL REFERENCES projects(id),
  name TEXT NOT NULL,
  description TEXT,
  auto_apply BOOLEAN NOT NULL,
  allow_destroy_plan BOOLEAN NOT NULL,
  execution_mode TEXT NOT NULL,       -- remote | local
  engine TEXT NOT NULL,               -- terraform | tofu
  terraform_version TEXT NOT NULL,    -- literal, constraint or "latest"
  working_directory TEXT NOT NULL,
  structured_run_output_enabled BOOLEAN NOT NULL,
  global_remote_state BOOLEAN NOT NULL,
  project_remote_state BOOLEAN NOT NULL,
  tag_names TEXT NOT NULL,            -- JSON: the keys of its tag bindings, in order; repeated from them for its document
  settings TEXT NOT NULL,             -- JSON of the attributes that only the API reads
  lock_kind TEXT,                     -- user | team | run
  lock_holder TEXT,                   -- id of that kind
  lock_reason TEXT,
  current_run_id TEXT,
  current_configuration_version_id TEXT,
  current_state_version_id TEXT,
  resource_count BIGINT NOT NULL,     -- managed resources in the current state
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  latest_change_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);

CREATE TABLE tags (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,                 -- the key of a binding of one of its workspaces, or was
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);

CREATE TABLE tag_bindings (           -- of a workspace or of a project
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  workspace_id TEXT REFERENCES workspaces(id) ON DELETE CASCADE,
  project_id TEXT REFERENCES projects(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,                -- empty: a flat tag
  created_at BIGINT NOT NULL,
  UNIQUE (workspace_id, key),
  UNIQUE (project_id, key)
);
CREATE INDEX tag_bindings_key ON tag_bindings (organization_id, key);

CREATE TABLE remote_state_consumers (  -- whose runs may read a workspace's state
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  consumer_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  PRIMARY KEY (workspace_id, consumer_id)
);
CREATE INDEX remote_state_consumers_consumer ON remote_state_consumers (consumer_id);

CREATE TABLE team_access (            -- to a workspace or to a project
  id TEXT PRIMARY KEY,
  team_id TEXT NOT NULL REFERENCES teams(id) ON DELETE CASCADE,
  workspace_id TEXT REFERENCES workspaces(id) ON DELETE CASCADE,
  project_id TEXT REFERENCES projects(id) ON DELETE CASCADE,
  access TEXT NOT NULL,               -- JSON of authz::TeamAccess or authz::ProjectAccess
  created_at BIGINT NOT NULL,
  UNIQUE (team_id, workspace_id),
  UNIQUE (team_id, project_id)
);
CREATE INDEX team_access_workspace ON team_access (workspace_id);
CREATE INDEX team_access_project ON team_access (project_id);

CREATE TABLE variable_sets (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  project_id TEXT REFERENCES projects(id) ON DELETE CASCADE,  -- the project that owns it; none: the organization does
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  global BOOLEAN NOT NULL,            -- holds in every workspace
  priority BOOLEAN NOT NULL,          -- beats what is more specific
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);
CREATE TABLE variable_set_scopes (    -- a workspace or a project in which a set holds
  variable_set_id TEXT NOT NULL REFERENCES variable_sets(id) ON DELETE CASCADE,
  workspace_id TEXT REFERENCES workspaces(id) ON DELETE CASCADE,
  project_id TEXT REFERENCES projects(id) ON DELETE CASCADE,
  UNIQUE (variable_set_id, workspace_id),
  UNIQUE (variable_set_id, project_id)
);
CREATE INDEX variable_set_scopes_workspace ON variable_set_scopes (workspace_id);
CREATE INDEX variable_set_scopes_project ON variable_set_scopes (project_id);

CREATE TABLE variables (              -- of a workspace or of a variable set
  id TEXT PRIMARY KEY,
  workspace_id TEXT REFERENCES workspaces(id) ON DELETE CASCADE,
  variable_set_id TEXT REFERENCES variable_sets(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value BLOB NOT NULL,                -- sealed by the organization's data key, sensitive or not
  category TEXT NOT NULL,             -- terraform | env
  hcl BOOLEAN NOT NULL,
  sensitive BOOLEAN NOT NULL,
  description TEXT NOT NULL,
  version_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (workspace_id, category, key),
  UNIQUE (variable_set_id, category, key)
);

CREATE TABLE blobs (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,      -- whose data key seals it
  kind TEXT NOT NULL,                 -- configuration | state | json-state | plan-json | log | …
  size BIGINT NOT NULL,               -- bytes of the content
  sha256 TEXT NOT NULL,               -- hex, of the content
  md5 TEXT NOT NULL,                  -- hex, of the content
  inline BLOB,                        -- the sealed content where it is small; otherwise a file named by the id
  created_at BIGINT NOT NULL
);
CREATE INDEX blobs_organization ON blobs (organization_id);

CREATE TABLE configuration_versions (
  id TEXT PRIMARY KEY,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  number BIGINT NOT NULL,             -- order within the workspace, from 1
  status TEXT NOT NULL,               -- pending | uploaded | errored | archived
  source TEXT NOT NULL,
  auto_queue_runs BOOLEAN NOT NULL,
  speculative BOOLEAN NOT NULL,
  provisional BOOLEAN NOT NULL,
  error TEXT,
  error_message TEXT,
  blob_id TEXT,
  created_by TEXT NOT NULL,           -- user id: whose runs the upload makes
  creator TEXT NOT NULL,              -- JSON: may that caller apply, from which token
  timestamps TEXT NOT NULL,           -- JSON: status-timestamps
  created_at BIGINT NOT NULL,
  UNIQUE (workspace_id, number)
);

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  number BIGINT NOT NULL,             -- order within the workspace, from 1
  configuration_version_id TEXT NOT NULL,
  status TEXT NOT NULL,               -- repeated from `life` for queries
  operation TEXT NOT NULL,            -- exec | plan_only | save_plan | refresh_only | destroy | empty_apply | plan_and_apply
  final BOOLEAN NOT NULL,
  life TEXT NOT NULL,                 -- JSON of life::Run: the facts that step() decides on
  message TEXT NOT NULL,
  options TEXT NOT NULL,              -- JSON: targets, replacements, …
  variables BLOB NOT NULL,            -- sealed JSON: the variables as they were at creation
  source TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  plan_id TEXT NOT NULL UNIQUE,
  apply_id TEXT NOT NULL UNIQUE,
  results TEXT NOT NULL,              -- JSON: counts, engine version, messages
  plan_log_id TEXT,
  plan_json_id TEXT,
  plan_redacted_id TEXT,
  kept_id TEXT,                       -- what the plan left for the apply; the file that an operation made
  apply_log_id TEXT,
  snapshot_id TEXT,                   -- the newest state that the engine wrote while it applies
  state_version_id TEXT,              -- the state version that this run wrote last
  job TEXT,                           -- plan | apply while a runner should do, or does, something
  lease TEXT,                         -- set while a runner does it
  queued_at BIGINT,
  version BIGINT NOT NULL,
  UNIQUE (workspace_id, number)
);
CREATE INDEX runs_job ON runs (job) WHERE job IS NOT NULL;
CREATE INDEX runs_open ON runs (workspace_id, number) WHERE final = FALSE;
CREATE INDEX runs_organization ON runs (organization_id, created_at);
CREATE INDEX runs_configuration ON runs (configuration_version_id);

CREATE TABLE run_events (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  number BIGINT NOT NULL,
  action TEXT NOT NULL,
  description TEXT,
  actor_id TEXT,                      -- user id; none for the system
  event TEXT NOT NULL,                -- JSON of life::Event: replaying them gives the row
  created_at BIGINT NOT NULL,
  UNIQUE (run_id, number)
);

CREATE TABLE comments (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  run_event_id TEXT NOT NULL,
  body TEXT NOT NULL,
  user_id TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX comments_run ON comments (run_id);

CREATE TABLE state_versions (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  number BIGINT NOT NULL,             -- order within the workspace, from 1
  serial BIGINT NOT NULL,
  lineage TEXT NOT NULL,
  md5 TEXT NOT NULL,
  status TEXT NOT NULL,               -- pending | finalized | discarded
  blob_id TEXT,
  json_blob_id TEXT,
  run_id TEXT,
  created_by TEXT NOT NULL,
  terraform_version TEXT,
  details TEXT NOT NULL,              -- JSON: resources, modules, providers, counts
  created_at BIGINT NOT NULL,
  UNIQUE (workspace_id, number)
);

CREATE TABLE state_version_outputs (
  id TEXT PRIMARY KEY,
  state_version_id TEXT NOT NULL REFERENCES state_versions(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  sensitive BOOLEAN NOT NULL,
  type TEXT NOT NULL,
  detailed_type TEXT NOT NULL,        -- JSON
  value BLOB NOT NULL,                -- sealed JSON
  UNIQUE (state_version_id, name)
);

CREATE TABLE workspace_resources (
  id TEXT NOT NULL,                   -- nobody asks for one by its id, so it needs no index
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  module TEXT NOT NULL,
  provider TEXT NOT NULL,
  provider_type TEXT NOT NULL,
  name_index TEXT,
  digest TEXT NOT NULL,               -- of the instance in the state: tells whether a new state changed it
  modified_by_state_version_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, address)
);
