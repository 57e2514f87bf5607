INSERT INTO documents VALUES (1, 'a');
CREATE UNIQUE INDEX documents_path_key__rc_new ON documents (path);
CREATE INDEX documents_path_idx__rc_new ON documents (path, id);
ALTER TABLE documents ADD CONSTRAINT path__rc_not_null CHECK (path IS NOT NULL) NOT VALID;
ALTER TABLE documents ADD CONSTRAINT documents_path_check__rc_new CHECK (path <> 'x') NOT VALID;
