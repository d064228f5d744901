// SPDX-License-Identifier: MIT
#include "ui/options/nic_option.h"

#include "ui/options/key_values.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

Expected<void> take_end(const std::string& end, std::string& address, u16& port) {
    std::size_t colon = end.rfind(':');
    if (colon == std::string::npos)
        return make_error(ErrorCode::kInvalidArgument, "'{}' has no ':port'", end);
    address = end.substr(0, colon);
    auto number = parse_number(end.substr(colon + 1), 65535);
    if (!number) return make_error(ErrorCode::kInvalidArgument, "port {}", number.error().message);
    if (*number == 0) return make_error(ErrorCode::kInvalidArgument, "port 0 cannot be forwarded");
    port = static_cast<u16>(*number);
    return {};
}

bool is_mac(const std::string& text) {
    if (text.size() != 17) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit(static_cast<unsigned char>(text[i]))) return false;
    }
    return true;
}

}  // namespace

Expected<ForwardConfig> parse_forward(const std::string& text) {
    ForwardConfig forward;
    std::string rest = text;
    if (rest.starts_with("tcp:"))
        rest = rest.substr(4);
    else if (rest.starts_with("udp:"))
        rest = rest.substr(4), forward.udp = true;
    else if (rest.starts_with(":"))
        rest = rest.substr(1);
    else
        return make_error(ErrorCode::kInvalidArgument, "hostfwd={}: write tcp:[address]:port-[address]:port",
                          text);
    std::size_t dash = rest.find('-');
    if (dash == std::string::npos)
        return make_error(ErrorCode::kInvalidArgument,
                          "hostfwd={}: the guest's side is missing: write tcp::2222-:22", text);
    if (auto ok = take_end(rest.substr(0, dash), forward.host_address, forward.host_port); !ok)
        return wrap_error(ok.error(), "hostfwd={}", text);
    if (auto ok = take_end(rest.substr(dash + 1), forward.guest_address, forward.guest_port); !ok)
        return wrap_error(ok.error(), "hostfwd={}", text);
    return forward;
}

Expected<NicConfig> parse_nic(const std::string& text) {
    KeyValues values(text, true);
    NicConfig nic;
    if (values.word() == "none") {
        nic.present = false;
        if (auto ok = values.finish("-nic none", "nothing"); !ok) return tl::unexpected(ok.error());
        return nic;
    }
    if (values.word() != "user")
        return make_error(ErrorCode::kInvalidArgument, "'{}': no such network; known: none, user",
                          values.word());
    std::string model = values.take("model").value_or("virtio");
    if (model != "virtio" && model != "virtio-net-pci")
        return make_error(ErrorCode::kUnsupported, "model={}: known: virtio", model);
    nic.mac = values.take("mac").value_or("");
    if (!nic.mac.empty() && !is_mac(nic.mac))
        return make_error(ErrorCode::kInvalidArgument, "mac={}: write 52:54:00:12:34:56", nic.mac);
    for (const std::string& item : values.take_all("hostfwd")) {
        auto forward = parse_forward(item);
        if (!forward) return tl::unexpected(forward.error());
        nic.forwards.push_back(*forward);
    }
    values.take("id");
    if (auto ok = values.finish("-nic user", "hostfwd, model, mac, id"); !ok)
        return tl::unexpected(ok.error());
    return nic;
}

}  // namespace shadowbox
