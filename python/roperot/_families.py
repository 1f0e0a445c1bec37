"""Which model families have a rotary embedding that configurations describe; facts only, nothing is read here."""

# Held against transformers' own modules by python/tests/test_hf.py, or published with code of their own (chatglm, qwen,
# phi3small, internlm ...). A family that is in none of the lists is refused: a plausible default may be silently wrong.
KNOWN = {
    "afmoe", "apertus", "aquila", "arcee", "aria", "axk1", "axk2", "baichuan", "bailing_hybrid", "bamba", "beam",
    "bitnet", "blt_global_transformer", "blt_local_decoder", "blt_local_encoder", "blt_patcher", "chameleon",
    "chatglm", "codegen", "cohere", "cohere2", "cohere2_moe", "cosmos3_edge", "csm", "csm_depth_decoder_model",
    "cwm", "dbrx", "deepseek", "deepseek_ocr2", "deepseek_ocr2_encoder", "deepseek_v2", "deepseek_v3",
    "deepseek_v32", "deepseek_v4", "dia_decoder", "dia_encoder", "diffllama", "doge", "dots1", "dots3_note",
    "dots3_note_audio_encoder", "embedding_gemma2", "emu3_text_model", "ernie4_5", "ernie4_5_moe",
    "ernie4_5_vl_moe", "esm", "esmc", "eurobert", "evolla", "exaone", "exaone4", "exaone_moe", "falcon",
    "falcon_h1", "flex_olmo", "flint", "gemma", "gemma2", "gemma3", "gemma4", "glm", "glm4", "glm4_moe",
    "glm4_moe_lite", "glm4v", "glm_moe_dsa", "glm_ocr", "glmasr_encoder", "gpt_neox", "gpt_neox_japanese",
    "gpt_oss", "gptj", "gradium_phonon_tts", "granite", "granite4_vision", "granite_docling", "granite_swa",
    "granitemoe", "granitemoe_swa", "granitemoehybrid", "granitemoeshared", "gte", "helium", "higgs_audio_v2",
    "hrm", "hunyuan_v1_dense", "hunyuan_v1_moe", "hy_v3", "hy_v4", "hyperclovax", "idefics", "internlm",
    "internlm2", "internlm3", "iquestcoder", "jais2", "jetmoe", "jina_embeddings_v3", "kimi_k2", "kimi_k25",
    "kolibri1", "kyutai_speech_to", "laguna", "lasr_encoder", "lfm2", "lfm2_moe", "lfm3", "llama", "llama4",
    "longcat_flash", "mellum", "mimi", "mimi_decoder", "mimi_encoder", "mimo_v2_flash", "minicpm", "minicpm3",
    "minimax", "minimax_m2", "minimax_m3_vl", "ministral", "ministral3", "mistral", "mistral4", "mistral_large4",
    "mixtral", "mllama_text_model", "modernbert", "modernbert-decoder", "molmo2", "moonshine_streaming", "moshi",
    "mpt", "muse_glimmer", "muse_glimmer_assistant", "muse_spark", "nemotron", "nemotron3_5_transcribe_asr_audio",
    "nemotron3_5_transcribe_word_timestamp", "nemotron3_diarization_audio", "neomme", "neucodec", "nomic_bert",
    "olmo", "olmo2", "olmo3", "olmo_hybrid", "olmoe", "openai_privacy_filter", "orion", "paddleocr_vl",
    "pe_audio_encoder", "pe_audio_video_encoder", "pe_video_encoder", "persimmon", "phi", "phi3", "phi3small",
    "phi4_multimodal", "phimoe", "pocket_tts", "pocket_tts_audio_tokenizer", "pocket_tts_audio_tokenizer_decoder",
    "pocket_tts_audio_tokenizer_encoder", "qwen", "qwen2", "qwen2_5_omni", "qwen2_5_omni_dit",
    "qwen2_5_omni_talker", "qwen2_5_vl", "qwen2_moe", "qwen2_vl", "qwen3", "qwen3_5", "qwen3_5_moe", "qwen3_moe",
    "qwen3_next", "qwen3_omni_moe_talker", "qwen3_omni_moe_talker_code_predictor", "qwen3_vl", "qwen3_vl_moe",
    "qwen4_exp", "recurrent_gemma", "seed_oss", "smollm3", "solar_open", "stablelm", "starcoder2",
    "t5_gemma_module", "t5gemma2", "t5gemma2_decoder", "timesfm2_5", "ultrabert", "unlimited_ocr", "vaultgemma",
    "voxtral_realtime", "voxtral_realtime_encoder", "xcodec2", "xverse", "yi", "youtu", "zamba2", "zaya",
}  # fmt: skip

# What else a configuration may say about positions without changing the rotation that Rope makes.
HARMLESS = {
    "alibi", "dropout_positions", "max_position_embeddings", "max_trained_positions", "model_max_position_embeddings",
    "n_positions", "no_rope_layer_interval", "no_rope_layers", "nope_layer_interval", "position_id_per_seconds",
    "rope_scaling_layers", "rope_type_labels", "tie_word_embeddings", "use_rope",
}  # fmt: skip

# What transformers' classes assume where a file states no head_dim, though it states hidden_size and heads.
HEAD_DIM = {
    "afmoe": 128, "beam": 128, "cohere2_moe": 128, "cwm": 128, "deepseek_v4": 512, "ernie4_5": 128, "flint": 128,
    "gemma": 256, "gemma2": 256, "gemma3": 256, "glm": 128, "glm4": 128, "gpt_oss": 64, "helium": 128,
    "higgs_audio_v2": 128, "hrm": 128, "hy_v3": 128, "jetmoe": 128, "kolibri1": 128, "lfm3": 128, "llama4": 128,
    "longcat_flash": 64, "mellum": 128, "mimo_v2_flash": 192, "minimax_m2": 128, "ministral3": 128, "molmo2": 128,
    "muse_glimmer_assistant": 128, "neucodec": 64, "openai_privacy_filter": 64, "pe_audio_encoder": 128,
    "pe_audio_video_encoder": 128, "pe_video_encoder": 128, "qwen2_5_omni_dit": 64, "qwen3": 128, "qwen3_5": 256,
    "qwen3_5_moe": 256, "qwen3_next": 256, "qwen3_vl": 128, "qwen4_exp": 256, "seed_oss": 128, "solar_open": 128,
    "t5gemma2": 256, "timesfm2_5": 80, "vaultgemma": 256, "xcodec2": 64, "zaya": 128,
}  # fmt: skip

# Families of multi-head latent attention, and the rotated channels that their classes assume where a file is silent.
LATENT = {
    "axk1": 64, "axk2": 32, "bailing_hybrid": 64, "deepseek_v2": 64, "deepseek_v3": 64, "deepseek_v32": 64,
    "deepseek_v4": 64, "glm4_moe_lite": 64, "glm_moe_dsa": 64, "hy_v4": 64, "kimi_k25": 64, "longcat_flash": 64,
    "minicpm3": 32, "mistral4": 64, "youtu": 64,
}  # fmt: skip
# Those of them whose class takes a stated head_dim for the rotated channels, without a word.
LATENT_IS_HEAD_DIM = {"axk1", "deepseek_v3", "longcat_flash", "youtu"}

# Families whose classes in transformers were asked which fields they read. A field that another family's class reads,
# or published code, is not theirs: it may be there if it says what they do anyway.
ASKED = {
    "afmoe", "apertus", "arcee", "aria", "axk1", "axk2", "bailing_hybrid", "beam", "bitnet", "chameleon", "cohere",
    "cohere2", "cohere2_moe", "cosmos3_edge", "csm", "cwm", "deepseek_ocr2", "deepseek_v2", "deepseek_v3",
    "deepseek_v32", "deepseek_v4", "diffllama", "doge", "dots1", "ernie4_5", "ernie4_5_moe", "esm", "eurobert",
    "evolla", "exaone4", "exaone_moe", "falcon", "flex_olmo", "flint", "gemma", "gemma2", "gemma3", "glm", "glm4",
    "glm4_moe", "glm4_moe_lite", "glm4v", "glm4v_moe", "glm_image", "glm_moe_dsa", "glm_ocr", "gpt_neox",
    "gpt_neox_japanese", "gpt_oss", "granite", "granite_docling", "granite_swa", "granitemoe", "granitemoe_swa",
    "granitemoeshared", "gte", "helium", "higgs_audio_v2", "hrm", "hunyuan_v1_dense", "hunyuan_v1_moe", "hy_v3",
    "hy_v4", "hyperclovax", "idefics", "jais2", "jetmoe", "jina_embeddings_v3", "kimi_k25", "kolibri1",
    "kyutai_speech_to", "lasr_encoder", "lfm2", "lfm2_moe", "lfm3", "llama", "llama4", "longcat_flash", "mellum",
    "mimi", "mimi_decoder", "mimi_encoder", "mimo_v2_flash", "minicpm3", "minimax", "minimax_m2", "ministral",
    "ministral3", "mistral", "mistral4", "mixtral", "mllama", "mllama_text_model", "modernbert", "modernbert-decoder",
    "molmo2", "moonshine", "moonshine_streaming", "moshi", "muse_glimmer_assistant", "nemotron",
    "nemotron3_5_transcribe_asr_audio", "neucodec", "nomic_bert", "olmo", "olmo2", "olmo3", "olmo_hybrid", "olmoe",
    "openai_privacy_filter", "pe_audio_encoder", "pe_audio_video_encoder", "pe_video_encoder", "persimmon", "phi",
    "phi3", "phi4_multimodal", "phimoe", "pocket_tts_audio_tokenizer", "pocket_tts_audio_tokenizer_decoder",
    "pocket_tts_audio_tokenizer_encoder", "qwen2", "qwen2_5_omni_dit", "qwen2_moe", "qwen3", "qwen3_5", "qwen3_5_moe",
    "qwen3_moe", "qwen3_next", "qwen3_omni_moe", "qwen3_vl", "qwen3_vl_moe", "qwen4_exp", "recurrent_gemma",
    "seed_oss", "smollm3", "solar_open", "stablelm", "starcoder2", "t5gemma2", "timesfm2_5", "ultrabert",
    "unlimited_ocr", "vaultgemma", "xcodec2", "youtu", "zamba2", "zaya",
}  # fmt: skip
READS_PARTIAL = {
    "glm", "glm4", "glm4_moe", "glm4_moe_lite", "glm4v", "glm4v_moe", "glm_image", "glm_ocr", "gpt_neox",
    "gpt_neox_japanese", "minimax_m2", "moonshine", "moonshine_streaming", "nemotron",
    "nemotron3_5_transcribe_asr_audio", "persimmon", "phi", "phi3", "phi4_multimodal", "qwen3_5", "qwen3_5_moe",
    "qwen3_next", "qwen4_exp", "recurrent_gemma", "solar_open", "stablelm",
}  # fmt: skip
READS = {
    "gpt_neox": {"rotary_emb_base", "rotary_pct"},
    "gpt_neox_japanese": {"rotary_emb_base", "rotary_pct"},
    "minimax_m2": {"rotary_dim"},
}
READS_LAYERS = {
    "beam", "deepseek_v4", "gemma3", "lfm3", "mellum", "mimo_v2_flash", "modernbert", "modernbert-decoder", "olmo3",
    "pe_audio", "pe_audio_video", "pe_video", "t5gemma2", "ultrabert", "zaya",
}  # fmt: skip
# Whose class has parameters of its own where a file has none, its theta among them, or another name for it.
UNREAD_THETA = {
    "apertus", "beam", "cosmos3_edge", "cwm", "gpt_neox", "gpt_neox_japanese", "higgs_audio_v2", "lfm3", "mellum",
    "mimo_v2_flash", "ministral3", "mistral4", "modernbert", "modernbert-decoder", "moonshine_streaming",
    "nemotron3_5_transcribe_asr_audio", "pe_audio", "pe_audio_video", "pe_video", "qwen3_omni_moe", "ultrabert", "zaya",
}  # fmt: skip
# Whose class has a set of parameters of its own, by layer type or partial, that one field of a file cannot change.
NEEDS_PARAMETERS = {
    "beam", "lfm3", "mellum", "mimo_v2_flash", "moonshine_streaming", "nemotron3_5_transcribe_asr_audio", "t5gemma2",
    "ultrabert", "zaya",
}  # fmt: skip
