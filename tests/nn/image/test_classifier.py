import torch

from lit_tasks.nn.image.classifier import LinearHead


def test_measured_features_have_mean_0_and_together_variance_1() -> None:
    features = 3 * torch.randn(500, 4) * torch.tensor([1.0, 2, 3, 4]) + 7
    head = LinearHead(4, 2)
    head.measure(features)
    seen = (features - head.mean) * head.scale
    torch.testing.assert_close(seen.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.square().mean(), torch.tensor(1.0))


def test_a_new_head_finds_all_classes_equally_probable() -> None:
    assert torch.equal(LinearHead(4, 3)(torch.randn(5, 4)), torch.zeros(5, 3))


def test_a_head_starts_with_means_of_the_old_classes_that_its_own_images_have() -> None:
    torch.manual_seed(0)
    weight, bias = 20 * torch.eye(3), torch.tensor([0.0, 1.0, 2.0])
    features = torch.cat((torch.eye(3)[:1].repeat(4, 1), torch.eye(3)[1:2].repeat(4, 1)))
    target = torch.tensor([1] * 4 + [0] * 4)  # the old class 0 is the new 1, the old 1 the new 0
    head = LinearHead(3, 2)
    head.measure(features + torch.rand(8, 3))
    head.start_from(features, target, weight, bias)
    other = torch.randn(6, 3)
    old = other @ weight.T + bias
    torch.testing.assert_close(head(other), old[:, [1, 0]], atol=1e-3, rtol=1e-3)
