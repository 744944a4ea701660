"""Regions of space: where points lie, inside and on each named side."""

from dynax.shapes._base import AbstractShape as AbstractShape, Piece as Piece
from dynax.shapes.ball import Ball as Ball, Disk as Disk
from dynax.shapes.box import Box as Box, Interval as Interval
from dynax.shapes.cloud import Cloud as Cloud
from dynax.shapes.composite import (
    Difference as Difference,
    Intersection as Intersection,
    Union as Union,
)
from dynax.shapes.polygon import Polygon as Polygon
