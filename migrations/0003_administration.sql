-- What site admins set and see: versions of engines, module consumers, signing keys; and the orders of their lists.

CREATE TABLE tool_versions (
  id TEXT PRIMARY KEY,
  tool TEXT NOT NULL,                 -- terraform | tofu
  version TEXT NOT NULL,
  official BOOLEAN NOT NULL,          -- a release of the tool's makers, at the address that follows from its version
  deprecated BOOLEAN NOT NULL,
  deprecated_reason TEXT,
  beta BOOLEAN NOT NULL,
  enabled BOOLEAN NOT NULL,
  archs TEXT NOT NULL,                -- JSON: url, sha, os and arch of each; none where there is nothing but the release
  created_at BIGINT NOT NULL,
  UNIQUE (tool, version)
);

-- Releases that a server without a network can know of: the last of each minor version when this was written.
INSERT INTO tool_versions (id, tool, version, official, deprecated, beta, enabled, archs, created_at) VALUES
  ('tool-terraform-1-0-4', 'terraform', '1.0.4', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-0-11', 'terraform', '1.0.11', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-1-9', 'terraform', '1.1.9', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-2-9', 'terraform', '1.2.9', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-3-10', 'terraform', '1.3.10', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-4-7', 'terraform', '1.4.7', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-5-7', 'terraform', '1.5.7', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-6-6', 'terraform', '1.6.6', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-7-5', 'terraform', '1.7.5', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-8-5', 'terraform', '1.8.5', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-9-8', 'terraform', '1.9.8', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-10-5', 'terraform', '1.10.5', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-11-4', 'terraform', '1.11.4', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-12-2', 'terraform', '1.12.2', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-13-5', 'terraform', '1.13.5', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-terraform-1-14-0', 'terraform', '1.14.0', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-tofu-1-6-2', 'tofu', '1.6.2', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-tofu-1-7-7', 'tofu', '1.7.7', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-tofu-1-8-8', 'tofu', '1.8.8', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-tofu-1-9-1', 'tofu', '1.9.1', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000),
  ('tool-tofu-1-10-6', 'tofu', '1.10.6', TRUE, FALSE, FALSE, TRUE, '[]', 1764547200000000);

CREATE INDEX workspaces_engine ON workspaces (engine, terraform_version);
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
