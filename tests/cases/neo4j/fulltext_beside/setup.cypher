UNWIND range(1, 50) AS i CREATE (:Doc {title: 'Titel ' + i, body: 'Häuser am Fluss'})
