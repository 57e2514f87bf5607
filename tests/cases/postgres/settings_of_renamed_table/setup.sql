INSERT INTO guests VALUES (1, 'Ada');
