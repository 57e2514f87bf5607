INSERT INTO days (mood, moods, mail, far, good, at) SELECT 'ok', '{ok}', 'm', '[1,2)', 'ok', '(a,ok)' FROM generate_series(1, 20);
