-- How many events of the batch count partly, and how many not at all.
SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3) FROM ({states}) AS exception
