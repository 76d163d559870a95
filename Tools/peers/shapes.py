"""The published sizes that are measured, and the work and bytes they cost."""

WIDTH, INNER, HEADS, GROUPS, VOCABULARY, LAYERS = 3072, 8192, 48, 4, 74752, 32
HEAD_SIZE = WIDTH // HEADS
AUDIO_IDS = 70656 - 65536

# The matrices of one layer, [outputs, inputs].
MATRICES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (GROUPS * HEAD_SIZE, WIDTH),
    "attn_v": (GROUPS * HEAD_SIZE, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (INNER, WIDTH),
    "ffn_up": (INNER, WIDTH),
    "ffn_down": (WIDTH, INNER),
}
LAYER_WEIGHTS = sum(outputs * inputs for outputs, inputs in MATRICES.values())

# Mel frames a second of speech.
FRAME_RATE = 22050 / 256


def token_weights(layers):
    """Weights that one token of the whole vocabulary multiplies."""
    return layers * LAYER_WEIGHTS + VOCABULARY * WIDTH
