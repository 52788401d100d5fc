-- Who confirmed or rejected a report of an address change, and when: an account, or a role where no account is known.
--
-- Null while no person decided, and of what was decided before this migration.

alter table address_report add column decided_by text, add column decided_at timestamptz;
