"""Independent fp32 oracles for every stage of Step-Audio, and the tiny bundle they run on."""
