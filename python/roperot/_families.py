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
