CREATE CONSTRAINT hand_made FOR (n:Person) REQUIRE n.id IS UNIQUE; CREATE INDEX hand_index FOR (n:Person) ON (n.born);
