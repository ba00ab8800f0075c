-- Accounts: how long tokens may live, second factors, signing in by an external provider, acting as another user.
-- Secrets are there as keyed hashes only, but for what a second factor is computed from, which is sealed.

CREATE TABLE token_ttl_policies (
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  token_type TEXT NOT NULL,           -- organization | team | user | audit_trails
  max_ttl_ms BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (organization_id, token_type)
);

ALTER TABLE sessions ADD COLUMN agent TEXT;              -- what the browser said of itself
ALTER TABLE sessions ADD COLUMN impersonator_id TEXT REFERENCES users(id) ON DELETE CASCADE;  -- the site admin behind it
ALTER TABLE sessions ADD COLUMN impersonator_session TEXT REFERENCES sessions(id) ON DELETE CASCADE;  -- theirs, to return to
CREATE INDEX sessions_impersonator ON sessions (impersonator_session);

CREATE TABLE two_factors (
  user_id TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  secret BLOB NOT NULL,               -- sealed by the root key for this user
  verified_at BIGINT,                 -- when a code confirmed it; until then it counts for nothing
  last_step BIGINT NOT NULL,          -- the time step of the newest code that was taken; none up to it is taken again
  created_at BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  hash TEXT NOT NULL,
  PRIMARY KEY (user_id, hash)
);

CREATE TABLE second_steps (           -- who has shown a password or a link, and no second factor yet
  hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  method TEXT NOT NULL,               -- of the session to come
  expires_at BIGINT NOT NULL
);
CREATE INDEX second_steps_user ON second_steps (user_id);

CREATE TABLE external_identities (    -- who signs in by an OpenID provider
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX external_identities_user ON external_identities (user_id);
