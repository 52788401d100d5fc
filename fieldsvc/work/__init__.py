"""What is planned and what is where: sites, rounds, roster, runs, sheets and tasks."""
