import numpy as np

from lit_tasks.data.synthetic.scenes import COLORS, SHAPES, draw_scene, random_scene


def test_a_seed_and_a_number_stand_for_one_image() -> None:
    first, again = (np.asarray(draw_scene(random_scene(1, 2), 48)) for _ in range(2))
    assert first.shape == (48, 48, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, np.asarray(draw_scene(random_scene(1, 3), 48)))
    assert not np.array_equal(first, np.asarray(draw_scene(random_scene(2, 2), 48)))


def test_every_shape_comes_equally_often() -> None:
    found = [random_scene(0, number).things[0].shape for number in range(4 * len(SHAPES))]
    assert {shape: found.count(shape) for shape in SHAPES} == dict.fromkeys(SHAPES, 4)


def test_a_thing_is_drawn_where_the_scene_says() -> None:
    for number in range(60):
        scene = random_scene(3, number, shapes=[s for s in SHAPES if s != "ring"])
        thing, image = scene.things[0], np.asarray(draw_scene(scene, 64))
        pixel = image[int(thing.y * 64), int(thing.x * 64)]
        assert np.array_equal(pixel, COLORS[thing.color]), thing
