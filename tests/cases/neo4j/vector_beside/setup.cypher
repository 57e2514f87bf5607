UNWIND range(1, 50) AS i CREATE (:Chunk {small: [1.0 * i, 1.0], large: [1.0, 2.0, 1.0 * i]})
