ALTER TABLE documents ADD COLUMN by_hand text; CREATE INDEX by_hand_idx ON documents (size); CREATE TABLE elsewhere (id int);
