-- Signing in: passwords, one-time links, sessions of browsers, and codes that command lines exchange for a token.
-- Secrets (of links, sessions, codes) are there as keyed hashes only, passwords as Argon2id.

ALTER TABLE users ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;  -- neither signs in nor uses tokens

CREATE TABLE passwords (
  user_id TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  hash TEXT NOT NULL,                 -- PHC string: algorithm, parameters, salt, hash
  changed_at BIGINT NOT NULL
);

CREATE TABLE sign_in_links (
  hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_links_user ON sign_in_links (user_id);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  method TEXT NOT NULL,               -- password | link
  address TEXT,                       -- the peer's, where it is known
  created_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL        -- written once a minute at most
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE authorization_codes (
  hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  client_id TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  challenge TEXT NOT NULL,            -- base64url of the SHA-256 of the verifier
  description TEXT NOT NULL,          -- of the token that it gives
  expires_at BIGINT NOT NULL,
  used BOOLEAN NOT NULL,              -- shown once; a second time revokes the token
  token_id TEXT                       -- what it gave
);
