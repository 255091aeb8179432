"""Heat maps, on models whose answer depends on a known part of the picture."""

import numpy as np

from cnn.model import occlusion


def brightness(images: np.ndarray) -> np.ndarray:
    """Of the corner that is bright in `picture`, in parts of white: (n, 1)."""
    return images[:, 8:16, 32:40].mean(axis=(1, 2, 3))[:, None] / 255


def bright_corner(images: np.ndarray) -> np.ndarray:
    return np.hstack([brightness(images), 1 - brightness(images)])


def picture() -> np.ndarray:
    image = np.full((48, 48, 3), 60, np.uint8)
    image[8:16, 32:40] = 250
    return image


def test_heat_is_where_the_answer_comes_from():
    image = picture()
    heat = occlusion.heat(bright_corner, image, 0)
    assert heat.shape == (48, 48) and heat.max() == 1
    assert heat[8:16, 32:40].mean() > 0.5
    assert heat[:, :20].max() == 0 and heat[30:].max() == 0
    assert occlusion.heat(lambda images: np.full((len(images), 2), 0.5), image, 0).max() == 0
    painted = occlusion.overlay(image, heat)
    assert painted.shape == image.shape and (painted[40, 4] == 60).all()


def test_what_speaks_against_a_class_is_not_hot():
    assert occlusion.heat(bright_corner, picture(), 1).max() == 0


def test_of_a_number_what_changes_it_is_hot_up_or_down():
    images = picture()[None]
    for model in (lambda some: 1000 * brightness(some), lambda some: -1000 * brightness(some)):
        request = occlusion.HeatmapRequest(0, reference=model(images)[0], unit=5.0)
        assert np.allclose(request.heat(model, images), occlusion.heat(bright_corner, images[0], 0))


def test_a_request_is_for_the_picture_in_its_row_and_its_class():
    images = np.stack([np.zeros_like(picture()), picture()])
    heat = occlusion.HeatmapRequest(1, predicted_class=0).heat(bright_corner, images)
    assert np.array_equal(heat, occlusion.heat(bright_corner, images[1], 0))


def test_squares_cover_every_pixel_of_any_picture():
    for size in (8, 9, 48, 96, 200):
        starts, side = occlusion.starts(size), occlusion.side(size)
        assert starts[0] == 0 and starts[-1] == size - side
        assert max(np.diff(starts)) <= side
