CREATE (:Chunk {embedding: [1.0, 2.0]});
