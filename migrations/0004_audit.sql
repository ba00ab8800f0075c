-- The audit trail, and answers that are kept for requests with an Idempotency-Key.

CREATE TABLE audit_pending (           -- written in the transaction of the change; moved on into audit_events
  request_id TEXT PRIMARY KEY,
  created_at BIGINT NOT NULL,
  entry TEXT NOT NULL,                -- JSON: who, from where, which operation
  earlier BLOB                        -- sealed: the resource before the change
);

CREATE TABLE audit_events (            -- what these columns repeat is in the entry
  sequence BIGINT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,            -- the request's
  created_at BIGINT NOT NULL,
  organization_id TEXT,
  actor_id TEXT,
  operation TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id TEXT NOT NULL,
  entry TEXT NOT NULL,                -- JSON, as it was hashed
  changes BLOB NOT NULL,              -- sealed JSON: before and after
  previous TEXT NOT NULL,             -- hash of the entry before
  hash TEXT NOT NULL                  -- hex of the SHA-256 over previous, sequence, entry and the hash of changes
);
CREATE INDEX audit_events_organization ON audit_events (organization_id, sequence);
CREATE INDEX audit_events_created ON audit_events (created_at);

CREATE TABLE audit_chain (             -- one row: both ends of the chain, so that neither can be cut off unnoticed
  id BIGINT PRIMARY KEY,
  first_sequence BIGINT NOT NULL,     -- of the oldest entry that is kept
  first_previous TEXT NOT NULL,       -- its hash before
  last_sequence BIGINT NOT NULL,
  last_hash TEXT NOT NULL,
  mark TEXT NOT NULL                  -- keyed hash over these, which nobody makes without the root key
);

CREATE TABLE idempotency_keys (
  id TEXT PRIMARY KEY,                -- keyed hash of caller, operation and key
  digest TEXT NOT NULL,               -- keyed hash of the path and the body
  status BIGINT,                      -- none: the server ended between the change and the answer
  answer BLOB,                        -- sealed
  created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
