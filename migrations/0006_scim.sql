-- Users and groups that an identity provider keeps here by SCIM, and what its groups stand for.

CREATE TABLE scim_users (
  user_id TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  user_name TEXT NOT NULL,            -- as the provider writes it
  user_name_key TEXT NOT NULL UNIQUE, -- in lower case, as it is compared
  display_name TEXT NOT NULL,         -- empty: none
  external_id TEXT,                   -- the provider's own name for it
  attributes TEXT NOT NULL,           -- JSON: what else it says of the user, kept and shown
  site_admin BOOLEAN NOT NULL,        -- is site admin because of the group for them
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX scim_users_external ON scim_users (external_id);

CREATE TABLE scim_groups (
  id TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  display_key TEXT NOT NULL UNIQUE,   -- in lower case, as it is compared
  external_id TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX scim_groups_external ON scim_groups (external_id);

CREATE TABLE scim_group_members (
  group_id TEXT NOT NULL REFERENCES scim_groups(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES scim_users(user_id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX scim_group_members_user ON scim_group_members (user_id);

CREATE TABLE scim_team_links (         -- a team whose members are those of a group
  team_id TEXT PRIMARY KEY REFERENCES teams(id) ON DELETE CASCADE,
  group_id TEXT NOT NULL REFERENCES scim_groups(id) ON DELETE CASCADE,
  paused BOOLEAN NOT NULL,
  updated_at BIGINT NOT NULL          -- when the team was last brought in line
);
CREATE INDEX scim_team_links_group ON scim_team_links (group_id);

CREATE INDEX users_email ON users (LOWER(email));

-- The membership exists because of a group, and ends with the last team.
ALTER TABLE organization_memberships ADD COLUMN scim BOOLEAN NOT NULL DEFAULT FALSE;
