"""Plans for people and machines. Every format is made from the plan's JSON form and cannot say more than it."""
