-- What was deleted of a plan or an apply. Where it was deleted for now, the objects are here instead of in the run's row.
CREATE TABLE deleted_run_data (
  phase_id TEXT PRIMARY KEY,          -- of the plan or the apply
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  restorable BOOLEAN NOT NULL,        -- deleted for now; else for good
  log_id TEXT,
  json_id TEXT,
  redacted_id TEXT,
  deleted_at BIGINT NOT NULL
);
CREATE INDEX deleted_run_data_run ON deleted_run_data (run_id);
CREATE INDEX deleted_run_data_restorable ON deleted_run_data (deleted_at) WHERE restorable;

-- From where members of an organization may come.
CREATE TABLE cidr_range_lists (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  enforcement_scope TEXT NOT NULL,    -- organization | all_agent_pools | selected_agent_pools
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);
CREATE TABLE cidr_ranges (
  id TEXT PRIMARY KEY,
  list_id TEXT NOT NULL REFERENCES cidr_range_lists(id) ON DELETE CASCADE,
  network TEXT NOT NULL,              -- as 10.0.0.0/8
  description TEXT,
  enabled BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (list_id, network)
);
CREATE TABLE cidr_range_list_agent_pools (
  list_id TEXT NOT NULL REFERENCES cidr_range_lists(id) ON DELETE CASCADE,
  agent_pool_id TEXT NOT NULL REFERENCES agent_pools(id) ON DELETE CASCADE,
  PRIMARY KEY (list_id, agent_pool_id)
);

-- What site admins tell everybody.
CREATE TABLE admin_banners (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  body TEXT NOT NULL,                 -- sanitized HTML
  style TEXT NOT NULL,                -- info | warning | critical
  audience TEXT NOT NULL,             -- all_users | authenticated_only
  publish_at BIGINT,                  -- with a schedule
  expire_at BIGINT,
  timezone TEXT,
  published_at BIGINT,                -- without one
  deactivated_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX admin_banners_active ON admin_banners (created_at) WHERE deactivated_at IS NULL;
