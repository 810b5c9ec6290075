# SPDX-License-Identifier: Apache-2.0
# DevStack plugin: installs, configures and runs glance-sync-agent with the Glance of the
# cascading region. stack.sh, unstack.sh and clean.sh source it.

function install_glance_sync_agent {
    setup_develop "$GLANCE_SYNC_DIR"
}

function glance_sync_bin_dir {
    get_python_exec_prefix
}

function create_glance_sync_accounts {
    # create_service_user adds the role service. The images of other projects need admin.
    create_service_user glance-sync admin
    # "openstack image sync" finds the API of the agent here.
    get_or_create_service glance-sync image-sync "Image distribution"
    get_or_create_endpoint image-sync "$REGION_NAME" "http://$SERVICE_HOST:$GLANCE_SYNC_API_PORT"
}

function configure_glance_sync_agent {
    sudo install -d -o "$STACK_USER" -m 755 "$GLANCE_SYNC_CONF_DIR"
    sudo install -d -o "$STACK_USER" -m 750 "$GLANCE_SYNC_STATE_PATH"
    install -m 640 "$GLANCE_SYNC_DIR/etc/glance/sync.conf" "$GLANCE_SYNC_CONF"

    iniset "$GLANCE_SYNC_CONF" DEFAULT sync_strategy "$GLANCE_SYNC_STRATEGY"
    iniset "$GLANCE_SYNC_CONF" DEFAULT cascading_endpoint_url "${GLANCE_SYNC_CASCADING_URL:-$GLANCE_URL}"
    iniset "$GLANCE_SYNC_CONF" DEFAULT state_path "$GLANCE_SYNC_STATE_PATH"
    iniset "$GLANCE_SYNC_CONF" DEFAULT sync_server_host "$GLANCE_SYNC_API_ADDRESS"
    iniset "$GLANCE_SYNC_CONF" DEFAULT sync_server_port "$GLANCE_SYNC_API_PORT"
    iniset_rpc_backend glance "$GLANCE_SYNC_CONF" DEFAULT
    setup_logging "$GLANCE_SYNC_CONF"

    iniset "$GLANCE_SYNC_CONF" service_credentials auth_type password
    iniset "$GLANCE_SYNC_CONF" service_credentials auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$GLANCE_SYNC_CONF" service_credentials username glance-sync
    iniset "$GLANCE_SYNC_CONF" service_credentials password "$SERVICE_PASSWORD"
    iniset "$GLANCE_SYNC_CONF" service_credentials user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$GLANCE_SYNC_CONF" service_credentials project_name "$SERVICE_PROJECT_NAME"
    iniset "$GLANCE_SYNC_CONF" service_credentials project_domain_name "$SERVICE_DOMAIN_NAME"
    if is_service_enabled tls-proxy; then
        iniset "$GLANCE_SYNC_CONF" service_credentials cafile "$SSL_BUNDLE_FILE"
    fi

    if [[ -n "$GLANCE_SYNC_STORE_FILE" ]]; then
        install -m 640 "$GLANCE_SYNC_STORE_FILE" "$GLANCE_SYNC_CONF_DIR/glance_store.yaml"
    fi

    # The agent follows notifications, which Glance does not send by default.
    iniset "$GLANCE_API_CONF" oslo_messaging_notifications driver messagingv2
}

function init_glance_sync_agent {
    "$(glance_sync_bin_dir)/glance-sync-manage" --config-file "$GLANCE_SYNC_CONF" db upgrade
}

function install_glance_sync_completion {
    local tool
    [[ -d $GLANCE_SYNC_COMPLETION_DIR ]] || return 0
    for tool in glance-sync glance-sync-manage; do
        "$(glance_sync_bin_dir)/$tool" complete | sudo tee "$GLANCE_SYNC_COMPLETION_DIR/$tool" >/dev/null
    done
}

function start_glance_sync_agent {
    run_process glance-sync-agent "$(glance_sync_bin_dir)/glance-sync-agent --config-file $GLANCE_SYNC_CONF"
}

function stop_glance_sync_agent {
    stop_process glance-sync-agent
}

function cleanup_glance_sync_agent {
    sudo rm -rf "$GLANCE_SYNC_STATE_PATH"
    sudo rm -f "$GLANCE_SYNC_CONF" "$GLANCE_SYNC_CONF_DIR/glance_store.yaml"
    sudo rm -f "$GLANCE_SYNC_COMPLETION_DIR"/glance-sync{,-manage}
}

if is_service_enabled glance-sync-agent; then
    case "$1:${2:-}" in
        stack:install)
            echo_summary "Installing glance-sync-agent"
            install_glance_sync_agent
            install_glance_sync_completion
            ;;
        stack:post-config)
            echo_summary "Configuring glance-sync-agent"
            create_glance_sync_accounts
            configure_glance_sync_agent
            init_glance_sync_agent
            ;;
        stack:extra)
            echo_summary "Starting glance-sync-agent"
            start_glance_sync_agent
            ;;
        unstack:)
            stop_glance_sync_agent
            ;;
        clean:)
            cleanup_glance_sync_agent
            ;;
    esac
fi
