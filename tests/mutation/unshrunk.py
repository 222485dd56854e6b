"""A pytest plug-in: property tests look for one failing example and leave it as it is, since a mutant's need not be small."""

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
settings.load_profile("mutants")
