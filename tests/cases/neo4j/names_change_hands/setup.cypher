CREATE (:Person {email: 'a', name: 'A', born: 1, city: 'X'})
