ALTER TABLE documents ADD COLUMN by_hand text; CREATE TABLE elsewhere (id int primary key); CREATE VIEW elsewhere_v AS SELECT id FROM elsewhere;
