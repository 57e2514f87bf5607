DROP INDEX documents_size_idx; ALTER TABLE documents ALTER COLUMN size SET DEFAULT 9;
