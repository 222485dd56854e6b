"""Components: the YAML face of the declarations."""

from platform_assets.components.feast_project import FeastProject
from platform_assets.components.feature_repository import FeatureRepository
from platform_assets.components.model_product import ModelProduct

__all__ = ["FeastProject", "FeatureRepository", "ModelProduct"]
