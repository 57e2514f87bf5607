UNWIND range(1, 50) AS i CREATE (:Person {id: i, born: 1900 + i, bio: 'x'});
