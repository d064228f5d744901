// SPDX-License-Identifier: MIT
#include "ui/monitor/qmp.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "ui/control/guest_input.h"
#include "ui/monitor/commands.h"
#include "vmm/machine/host.h"

namespace shadowbox {

namespace {

using Json = nlohmann::ordered_json;
using Reply = Expected<Json>;

tl::unexpected<Error> generic(const Error& error) { return tl::unexpected(error); }

/// Arguments of a command; the first wrong one is remembered and told at the end.
class Arguments {
 public:
    explicit Arguments(const Json& json) : json_(json) {}
    std::string text(const char* name) {
        auto found = json_.find(name);
        if (found == json_.end() || !found->is_string()) return wrong(name, "a string"), std::string();
        return found->get<std::string>();
    }
    std::string text_or_empty(const char* name) { return json_.contains(name) ? text(name) : std::string(); }
    u64 number(const char* name) {
        auto found = json_.find(name);
        if (found == json_.end() || !found->is_number_integer()) return wrong(name, "an integer"), 0;
        return found->get<u64>();
    }
    const Json& list(const char* name) {
        static const Json kNone = Json::array();
        auto found = json_.find(name);
        if (found == json_.end() || !found->is_array()) return wrong(name, "a list"), kNone;
        return *found;
    }
    Expected<void> check() const {
        if (!problem_.empty()) return make_error(ErrorCode::kInvalidArgument, "{}", problem_);
        return {};
    }

 private:
    void wrong(const char* name, const char* type) {
        if (!problem_.empty()) return;
        problem_ = json_.contains(name)
                       ? fmt::format("Invalid parameter type for '{}', expected: {}", name, type)
                       : fmt::format("Parameter '{}' is missing", name);
    }
    const Json& json_;
    std::string problem_;
};

struct Call {
    Monitor& monitor;
    Arguments arguments;
    bool quit = false;
    const char* event = nullptr;  ///< sent after the reply
};

Reply plain(Call& call, Expected<std::string> (*command)(Monitor&, const MonitorArguments&)) {
    auto result = command(call.monitor, {});
    if (!result) return generic(result.error());
    return Json::object();
}

Reply query_status(Call& call) {
    VmState state = call.monitor.vm().state();
    // QEMU's word for a machine that something on the host's side keeps from going on.
    const char* name = state == VmState::kCrashed   ? "internal-error"
                       : state == VmState::kBlocked ? "io-error"
                                                    : vm_state_name(state);
    return Json{{"status", name}, {"singlestep", false}, {"running", state == VmState::kRunning}};
}
Reply stop(Call& call) { return plain(call, command_stop); }
Reply cont(Call& call) { return plain(call, command_cont); }
Reply system_reset(Call& call) { return plain(call, command_reset); }
Reply system_powerdown(Call& call) {
    call.event = "POWERDOWN";
    return plain(call, command_powerdown);
}
Reply quit(Call& call) {
    call.quit = true;
    return Json::object();
}

Reply finish(Call& call, Expected<void> (*run)(Call&)) {
    if (auto ok = call.arguments.check(); !ok) return generic(ok.error());
    if (auto ok = run(call); !ok) return generic(ok.error());
    return Json::object();
}

Reply screendump(Call& call) {
    return finish(call, [](Call& c) -> Expected<void> {
        std::string file = c.arguments.text("filename"), format = c.arguments.text_or_empty("format");
        if (auto ok = c.arguments.check(); !ok) return ok;
        return save_screen(c.monitor, file, format);
    });
}

Reply pmemsave(Call& call) {
    u64 first = call.arguments.number("val"), size = call.arguments.number("size");
    std::string file = call.arguments.text("filename");
    if (auto ok = call.arguments.check(); !ok) return generic(ok.error());
    if (auto ok = save_physical(call.monitor, first, size, file); !ok) return generic(ok.error());
    return Json::object();
}

Reply memsave(Call& call) {
    u64 first = call.arguments.number("val"), size = call.arguments.number("size");
    std::string file = call.arguments.text("filename");
    if (auto ok = call.arguments.check(); !ok) return generic(ok.error());
    if (auto ok = save_virtual(call.monitor, first, size, file); !ok) return generic(ok.error());
    return Json::object();
}

/// {"type": "qcode", "data": "ctrl"} or {"type": "number", "data": 29}
Reply send_key(Call& call) {
    std::vector<Key> keys;
    const Json& list = call.arguments.list("keys");
    if (auto ok = call.arguments.check(); !ok) return generic(ok.error());
    for (const Json& item : list) {
        std::optional<Key> key;
        if (item.is_object() && item.contains("data")) {
            const Json& data = item["data"];
            if (data.is_string())
                key = key_from_name(data.get<std::string>());
            else if (data.is_number_integer())
                key = key_from_name(fmt::format("0x{:x}", data.get<u64>()));
        }
        if (!key)
            return make_error(ErrorCode::kInvalidArgument, "Parameter 'keys' has an unknown key: {}",
                              item.dump());
        keys.push_back(*key);
    }
    call.monitor.control().input(call.monitor.vm().id()).combination(keys);
    return Json::object();
}

Reply human_monitor_command(Call& call) {
    std::string line = call.arguments.text("command-line");
    if (auto ok = call.arguments.check(); !ok) return generic(ok.error());
    std::string out = call.monitor.execute(line);
    call.quit = call.monitor.quit_asked();
    return Json(out);
}

Reply query_version(Call&) {
    return Json{{"qemu", {{"micro", 0}, {"minor", 1}, {"major", 0}}}, {"package", "shadowbox 0.1"}};
}
Reply query_name(Call& call) { return Json{{"name", call.monitor.vm().name()}}; }
Reply query_kvm(Call&) { return Json{{"enabled", false}, {"present", false}}; }
Reply query_cpus_fast(Call& call) {
    Json list = Json::array();
    for (unsigned i = 0; i < call.monitor.vm().vcpu_count(); ++i)
        list.push_back({{"cpu-index", i}, {"target", "x86_64"}});
    return list;
}
Reply query_commands(Call&);
Reply negotiate(Call&) {
    return make_error(ErrorCode::kNotFound, "Capabilities negotiation is already complete, command ignored");
}

struct Row {
    const char* name;
    Reply (*run)(Call&);
};
constexpr Row kCommands[] = {
    {"qmp_capabilities", negotiate},
    {"query-status", query_status},
    {"stop", stop},
    {"cont", cont},
    {"quit", quit},
    {"system_reset", system_reset},
    {"system_powerdown", system_powerdown},
    {"screendump", screendump},
    {"pmemsave", pmemsave},
    {"memsave", memsave},
    {"send-key", send_key},
    {"human-monitor-command", human_monitor_command},
    {"query-commands", query_commands},
    {"query-version", query_version},
    {"query-name", query_name},
    {"query-kvm", query_kvm},
    {"query-cpus-fast", query_cpus_fast},
};

Reply query_commands(Call&) {
    Json list = Json::array();
    for (const Row& row : kCommands) list.push_back({{"name", row.name}});
    return list;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json error_reply(const char* kind, const std::string& text) {
    return {{"error", {{"class", kind}, {"desc", text}}}};
}

}  // namespace

QmpConnection::QmpConnection(ProcessControl& control, Send send)
    : control_(control), send_(std::move(send)), monitor_(control) {}

void QmpConnection::connected() {
    negotiated_ = false;
    pending_.clear();
    depth_ = 0;
    in_string_ = escaped_ = discarding_ = false;
    Call call{monitor_, Arguments(Json::object())};
    send_(dump({{"QMP", {{"version", *query_version(call)}, {"capabilities", Json::array()}}}}));
}

/// Follows strings and nesting.
void QmpConnection::note_text(char byte) {
    if (in_string_) {
        if (escaped_)
            escaped_ = false;
        else if (byte == '\\')
            escaped_ = true;
        else if (byte == '"')
            in_string_ = false;
    } else if (byte == '"') {
        in_string_ = true;
    } else if (byte == '{' || byte == '[') {
        ++depth_;
    } else if (byte == '}' || byte == ']') {
        depth_ = std::max(0, depth_ - 1);
    }
}

void QmpConnection::refuse(const char* why) {
    pending_ = {};
    discarding_ = true;
    send_(dump(error_reply("GenericError", why)));
}

/// True while `byte` still belongs to what was refused.
bool QmpConnection::discard(char byte) {
    note_text(byte);
    if (byte == '\n') depth_ = 0, in_string_ = escaped_ = false;
    if (depth_ == 0 && !in_string_) discarding_ = false;
    return discarding_;
}

std::size_t QmpConnection::feed_one(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char byte = bytes[i];
        if (discarding_) {
            discard(byte);
            continue;
        }
        if (depth_ == 0 && !in_string_ && isspace(static_cast<unsigned char>(byte))) {
            if (pending_.empty() || byte != '\n') continue;
            command(std::exchange(pending_, {}));  // something that is no object
            return i + 1;
        }
        pending_ += byte;
        bool closes = !in_string_ && (byte == '}' || byte == ']');
        note_text(byte);
        if (pending_.size() > kLongest || depth_ > kDeepest) {
            refuse(depth_ > kDeepest ? "JSON nesting depth limit exceeded"
                                     : "JSON token size limit exceeded");
            return i + 1;
        }
        if (closes && depth_ == 0) {
            command(std::exchange(pending_, {}));
            return i + 1;
        }
    }
    return bytes.size();
}

void QmpConnection::command(const std::string& text) {
    Json request = Json::parse(text, nullptr, false);
    if (request.is_discarded())
        return send_(dump(error_reply("GenericError", "JSON parse error, invalid text")));
    if (!request.is_object())
        return send_(dump(error_reply("GenericError", "QMP input must be a JSON object")));
    Json id = request.contains("id") ? request["id"] : Json();
    auto reply = [&](Json json) {
        if (!id.is_null()) json["id"] = id;
        send_(dump(json));
    };
    if (!request.contains("execute") || !request["execute"].is_string())
        return reply(error_reply("GenericError", "QMP input lacks member 'execute'"));
    std::string name = request["execute"];
    const Row* row = std::find_if(std::begin(kCommands), std::end(kCommands),
                                  [&](const Row& r) { return name == r.name; });
    if (!negotiated_) {
        if (name != "qmp_capabilities")
            return reply(error_reply("CommandNotFound",
                                     row == std::end(kCommands)
                                         ? fmt::format("The command {} has not been found", name)
                                         : "Expecting capabilities negotiation with 'qmp_capabilities'"));
        negotiated_ = true;
        return reply({{"return", Json::object()}});
    }
    if (row == std::end(kCommands))
        return reply(error_reply("CommandNotFound", fmt::format("The command {} has not been found", name)));
    Json arguments = request.contains("arguments") ? request["arguments"] : Json::object();
    if (!arguments.is_object())
        return reply(error_reply("GenericError", "QMP input member 'arguments' must be an object"));
    Call call{monitor_, Arguments(arguments)};
    Reply result = row->run(call);
    if (result)
        reply({{"return", *result}});
    else
        reply(error_reply(row->run == negotiate ? "CommandNotFound" : "GenericError", result.error().text()));
    if (row->run == system_reset && result) host_reset_ = true;
    if (call.event && result) event(call.event, monitor_.vm().name(), 0);
    quit_ |= call.quit;
}

void QmpConnection::event(const char* name, const std::string& guest, int exit_status) {
    if (!negotiated_) return;
    auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count();
    Json json{{"timestamp", {{"seconds", now / 1'000'000}, {"microseconds", now % 1'000'000}}},
              {"event", name}};
    bool shutdown = std::string_view(name) == "SHUTDOWN", reset = std::string_view(name) == "RESET";
    if (shutdown || reset) {
        bool by_host = shutdown ? quit_ : std::exchange(host_reset_, false);
        const char* host_reason = shutdown ? "host-qmp-quit" : "host-qmp-system-reset";
        const char* guest_reason = shutdown ? "guest-shutdown" : "guest-reset";
        json["data"] = {{"guest", !by_host}, {"reason", by_host ? host_reason : guest_reason}, {"vm", guest}};
        if (shutdown) json["data"]["exit-status"] = exit_status;
    } else if (control_.host().vms().size() > 1) {
        json["data"] = {{"vm", guest}};
    }
    send_(dump(json));
}

}  // namespace shadowbox
