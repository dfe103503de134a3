"""How each kind of case is put to the policy that it is about."""
