-- What hangs on workspaces: run triggers, SSH keys, reserved tag keys, inherited settings, auto-destroy, retention of data,
-- exports of plans.

CREATE TABLE run_triggers (
  id TEXT PRIMARY KEY,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,   -- gets the runs
  sourceable_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,  -- whose applies start them
  created_at BIGINT NOT NULL,
  UNIQUE (workspace_id, sourceable_id)
);
CREATE INDEX run_triggers_sourceable ON run_triggers (sourceable_id);

CREATE TABLE run_trigger_firings (    -- runs that an apply has triggered and that are not made yet
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  workspace_id TEXT NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (run_id, workspace_id)
);
CREATE INDEX run_trigger_firings_workspace ON run_trigger_firings (workspace_id);

ALTER TABLE runs ADD COLUMN triggering_run_id TEXT;  -- the run whose apply triggered this one

CREATE TABLE ssh_keys (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  value BLOB NOT NULL,                -- sealed by the organization's data key
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);
ALTER TABLE workspaces ADD COLUMN ssh_key_id TEXT REFERENCES ssh_keys(id) ON DELETE SET NULL;
CREATE INDEX workspaces_ssh_key ON workspaces (ssh_key_id) WHERE ssh_key_id IS NOT NULL;

CREATE TABLE reserved_tag_keys (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  disable_overrides BOOLEAN NOT NULL, -- a workspace may not bind it where its project does
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (organization_id, key)
);

-- How a workspace's runs are made: its own wish, else its project's, else its organization's.
ALTER TABLE organizations ADD COLUMN default_execution_mode TEXT NOT NULL DEFAULT 'remote';
UPDATE organizations SET default_execution_mode = 'local' WHERE settings LIKE '%"default-execution-mode":"local"%';
ALTER TABLE projects ADD COLUMN default_execution_mode TEXT;
ALTER TABLE workspaces ADD COLUMN overwrites_execution_mode BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE workspaces SET overwrites_execution_mode = TRUE WHERE settings LIKE '%"overwrites-execution-mode":true%';

-- Durations are texts as the API has them: 14d, 36h.
ALTER TABLE projects ADD COLUMN auto_destroy_activity_duration TEXT;
ALTER TABLE workspaces ADD COLUMN auto_destroy_activity_duration TEXT;
ALTER TABLE workspaces ADD COLUMN inherits_project_auto_destroy BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE workspaces ADD COLUMN auto_destroy_at BIGINT;
CREATE INDEX workspaces_auto_destroy ON workspaces (auto_destroy_at) WHERE auto_destroy_at IS NOT NULL;

-- JSON: id, and the days after which old data is deleted; null for never.
ALTER TABLE organizations ADD COLUMN data_retention TEXT;
ALTER TABLE workspaces ADD COLUMN data_retention TEXT;

-- Workspaces in the order in which they were made, which is how lists show them.
CREATE INDEX workspaces_age ON workspaces (organization_id, created_at, id);

CREATE TABLE plan_exports (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  data_type TEXT NOT NULL,
  status TEXT NOT NULL,               -- finished | errored | expired
  blob_id TEXT,
  created_at BIGINT NOT NULL,
  finished_at BIGINT
);
CREATE INDEX plan_exports_run ON plan_exports (run_id);

-- Bytes that were deleted and can still come back: nothing that reads `blob_id` finds them.
ALTER TABLE state_versions ADD COLUMN deleted_blob_id TEXT;
ALTER TABLE state_versions ADD COLUMN deleted_json_blob_id TEXT;
ALTER TABLE configuration_versions ADD COLUMN deleted_blob_id TEXT;
