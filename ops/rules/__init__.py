"""What `carbonstream rules` does: files and the database are read here, rules are judged in processors/."""
