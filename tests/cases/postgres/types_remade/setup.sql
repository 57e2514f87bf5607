INSERT INTO days (mood, moods, mine, code, short, codes, tags, at, far, fars, span)
SELECT 'happy', '{ok,happy}', 'ok', 'c' || n, 's', '{a,b}', '{t}', '(Elm,7,ok)', '[1,4)', '{[1,2),[5,9)}', '[ok,happy]'
FROM generate_series(1, 40) n;
UPDATE days SET span = '[ok,ok]';
