CREATE INDEX by_hand FOR (n:Person) ON (n.bio);
