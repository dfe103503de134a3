"""The ground floor: what every other floor agrees on."""
