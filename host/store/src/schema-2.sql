-- What a recovery has to know is the plan, and nobody asks for all that one holder holds.
ALTER TABLE journal DROP COLUMN detail;
DROP INDEX mount_holders_by_holder;
