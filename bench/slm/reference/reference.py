"""Asks llama.cpp for the logits or embeddings of the models that main.go writes, and prints them as JSON.

usage: reference.py LIBRARIES DIR

The structures below are those of llama.h in the build v0.5.0 (node-llama-cpp's linux-x64 package); another version may
need others. One thread, no flash attention, F32 cache, no repacking.
"""
import ctypes as C
import glob
import json
import os
import sys

i32, u32, f32, ptr, boolean = C.c_int32, C.c_uint32, C.c_float, C.c_void_p, C.c_bool


class ModelParams(C.Structure):
    _fields_ = [("devices", ptr), ("overrides", ptr), ("gpu_layers", i32), ("split_mode", i32), ("load_mode", i32),
                ("lazy_mode", i32), ("main_gpu", i32), ("tensor_split", ptr), ("progress", ptr), ("progress_data", ptr),
                ("kv_overrides", ptr), ("vocab_only", boolean), ("check_tensors", boolean), ("extra_bufts", boolean),
                ("no_host", boolean), ("no_alloc", boolean), ("load_mtp", boolean)]


class ContextParams(C.Structure):
    _fields_ = [("n_ctx", u32), ("n_batch", u32), ("n_ubatch", u32), ("n_seq_max", u32), ("n_rs_seq", u32),
                ("n_outputs_max", u32), ("n_outputs_max_per_seq", u32), ("n_threads", i32), ("n_threads_batch", i32),
                ("ctx_type", i32), ("rope_scaling_type", i32), ("pooling_type", i32), ("attention_type", i32),
                ("flash_attn_type", i32), ("rope_freq_base", f32), ("rope_freq_scale", f32), ("yarn_ext_factor", f32),
                ("yarn_attn_factor", f32), ("yarn_beta_fast", f32), ("yarn_beta_slow", f32), ("yarn_orig_ctx", u32),
                ("defrag_thold", f32), ("cb_eval", ptr), ("cb_eval_data", ptr), ("type_k", i32), ("type_v", i32),
                ("abort", ptr), ("abort_data", ptr), ("embeddings", boolean), ("offload_kqv", boolean),
                ("no_perf", boolean), ("op_offload", boolean), ("swa_full", boolean), ("kv_unified", boolean),
                ("samplers", ptr), ("n_samplers", C.c_size_t), ("ctx_other", ptr)]


class Batch(C.Structure):
    _fields_ = [("n_tokens", i32), ("token", C.POINTER(i32)), ("embd", ptr), ("pos", C.POINTER(i32)),
                ("n_seq_id", C.POINTER(i32)), ("seq_id", C.POINTER(C.POINTER(i32))), ("logits", C.POINTER(C.c_int8))]


def load(folder):
    for name in ("libggml-base", "libggml.", "libllama."):
        path = [p for p in sorted(glob.glob(os.path.join(folder, name + "*"))) if ".so" in p][0]
        library = C.CDLL(path, mode=C.RTLD_GLOBAL)
        if name == "libggml.":
            library.ggml_backend_load_all_from_path(folder.encode())
    for name, result, args in [
            ("llama_model_default_params", ModelParams, []), ("llama_context_default_params", ContextParams, []),
            ("llama_model_load_from_file", ptr, [C.c_char_p, ModelParams]), ("llama_init_from_model", ptr, [ptr, ContextParams]),
            ("llama_batch_init", Batch, [i32, i32, i32]), ("llama_decode", i32, [ptr, Batch]), ("llama_encode", i32, [ptr, Batch]),
            ("llama_get_logits_ith", C.POINTER(f32), [ptr, i32]), ("llama_get_embeddings_seq", C.POINTER(f32), [ptr, i32]),
            ("llama_model_n_embd", i32, [ptr]), ("llama_model_n_cls_out", u32, [ptr]), ("llama_pooling_type", i32, [ptr]),
            ("llama_model_get_vocab", ptr, [ptr]), ("llama_vocab_n_tokens", i32, [ptr]), ("llama_free", None, [ptr]),
            ("llama_model_free", None, [ptr]), ("llama_log_set", None, [ptr, ptr])]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, args
    return library


def values(pointer, n):
    return [float("%.8g" % pointer[i]) for i in range(n)]


def ask(lib, path, entry):
    params = lib.llama_model_default_params()
    params.gpu_layers, params.extra_bufts = 0, False
    model = lib.llama_model_load_from_file(path.encode(), params)
    if not model:
        sys.exit(path + " was not loaded")
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch, params.type_k, params.type_v = 0, 1, 1, 0, 0
    params.flash_attn_type, params.embeddings = 0, entry["embeds"]
    context = lib.llama_init_from_model(model, params)
    tokens = entry["prompt"]
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    # llama_encode is for models without a cache.
    if lib.llama_decode(context, batch) != 0:
        sys.exit(path + " was not decoded")
    if entry["embeds"]:
        size = lib.llama_model_n_cls_out(model) if lib.llama_pooling_type(context) == 4 else lib.llama_model_n_embd(model)
        out = {"embedding": values(lib.llama_get_embeddings_seq(context, 0), size)}
    else:
        size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        out = {"logits": [values(lib.llama_get_logits_ith(context, row), size) for row in entry["rows"]]}
    lib.llama_free(context)
    lib.llama_model_free(model)
    return out


def main():
    folder, models = sys.argv[1], sys.argv[2]
    lib = load(folder)
    quiet = C.CFUNCTYPE(None, i32, C.c_char_p, ptr)(lambda level, text, _: sys.stderr.write(text.decode()) if level >= 4 else None)
    lib.llama_log_set(C.cast(quiet, ptr), None)
    with open(os.path.join(models, "models.json")) as f:
        entries = json.load(f)
    results = {e["name"]: ask(lib, os.path.join(models, e["name"] + ".gguf"), e) for e in entries}
    lines = ["  %s: %s" % (json.dumps(name), json.dumps(result, separators=(",", ":"))) for name, result in results.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


main()
