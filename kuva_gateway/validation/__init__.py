"""Validation: pure rules. Frozen facts about one study go in, a verdict with findings comes out.

``facts`` says what is known of a study, ``rules`` judges it, one file per family of rules looks at its part, and
``texts`` holds what each rule says, in English and in Finnish. Nothing here reads a file, a clock or a database.
"""
