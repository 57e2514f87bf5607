SELECT nextval('kept'), nextval('shared'), nextval('small');
