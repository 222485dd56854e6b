"""Homes to promote in: built once a session, copied for each test."""

import shutil

import pytest
from registry_world import World, declared_product, declared_repository, new_world


@pytest.fixture(scope="session")
def _first_candidate(tmp_path_factory):
    world = new_world(tmp_path_factory.mktemp("first"))
    world.candidate()
    return world


@pytest.fixture(scope="session")
def _two_versions(tmp_path_factory, _first_candidate):
    world = _copied(_first_candidate, tmp_path_factory.mktemp("two") / "copy")
    assert world.promote().promoted
    world.candidate(regularisation=0.5)
    return world


@pytest.fixture
def world(tmp_path, _first_candidate):
    """Version 1 is registered with every evidence green; there is no champion."""
    return _copied(_first_candidate, tmp_path / "world")


@pytest.fixture
def challenged(tmp_path, _two_versions):
    """Version 1 is champion; version 2, about as good, is registered with every evidence green."""
    return _copied(_two_versions, tmp_path / "world")


def _copied(world, root):
    shutil.copytree(world.root, root)
    return World(root, declared_repository(root), declared_product())
